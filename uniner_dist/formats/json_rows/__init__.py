"""Documents as JSON objects, one a line or in a list: ours, doccano's, Prodigy's, spaCy's, GLiNER's, Hugging Face's."""
