"""Annotations of radiographs: LabelMe, YOLO, COCO and Pascal VOC files, and labelled folders with their split by patient."""
