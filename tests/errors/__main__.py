"""Write docs/errors.md: python -m tests.errors"""

from tests.errors.page import PATH, page

if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"wrote {PATH}")
