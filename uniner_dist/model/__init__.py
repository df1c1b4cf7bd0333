"""The model as files: where it is, what identifies it, and the tokenizer that it was trained with."""
