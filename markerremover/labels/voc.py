"""Pascal VOC XML of an `Annotation`; `truth` reads it back."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from ..records import UNCERTAIN, Annotation


def text(annotation: Annotation, folder: str = "") -> str:
    """An annotation as the text of a Pascal VOC file.

    Boxes count pixels from 1 and include the last one, as VOC's do; fractions of pixels are rounded outwards. An uncertain annotation is
    `difficult`, and its name is "uncertain". Texts of annotations have no place in VOC.

    Args:
        folder: name of the folder of the image.
    """
    height, width = annotation.shape_hw
    root = ElementTree.Element("annotation")
    _add(root, "folder", folder)
    _add(root, "filename", annotation.image)
    size = ElementTree.SubElement(root, "size")
    for name, pixels in (("width", width), ("height", height), ("depth", 1)):
        _add(size, name, pixels)
    _add(root, "segmented", 0)
    for element in annotation.elements:
        x1, y1, x2, y2 = element.xyxy
        entry = ElementTree.SubElement(root, "object")
        for name, value in (("name", element.kind), ("pose", "Unspecified"), ("truncated", 0), ("difficult", int(element.kind == UNCERTAIN))):
            _add(entry, name, value)
        box = ElementTree.SubElement(entry, "bndbox")
        for name, value in (("xmin", int(x1 // 1) + 1), ("ymin", int(y1 // 1) + 1), ("xmax", int(-(-x2 // 1))), ("ymax", int(-(-y2 // 1)))):
            _add(box, name, value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name).text = str(value)
