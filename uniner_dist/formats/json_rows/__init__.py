"""Documents as JSON objects, in lines or a list: own exports, doccano, Prodigy, spaCy, GLiNER and Hugging Face."""
