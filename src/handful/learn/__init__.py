"""The study: tensors only, and never a metre, a second or a frame."""
