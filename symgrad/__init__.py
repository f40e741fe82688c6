"""symgrad: equations in index notation → their backward pass, printed and compiled."""
