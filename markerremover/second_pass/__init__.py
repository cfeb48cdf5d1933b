"""Pass 2: is a detected box an isolated laterality marker, and which pixels of it are retained? Strokes, letter shapes, OCR."""
