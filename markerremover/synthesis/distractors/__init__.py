"""Drawn objects that are no burned-in annotations and must not be removed: implants, leads, tubes, metal, film wear."""
