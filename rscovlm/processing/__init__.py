"""From images and conversations to what a Qwen-VL model takes, and from its answers back to boxes."""
