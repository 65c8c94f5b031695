"""Remote-sensing vision-language models as a Hugging Face plug-in."""
