"""The demo Space: ask, point and find on an image, and see where the model looked."""

from rscovlm.demo.space_page import demo_page

page = demo_page()

if __name__ == "__main__":
    page.launch(max_file_size="64mb")
