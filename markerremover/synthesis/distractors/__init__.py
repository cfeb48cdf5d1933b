"""Drawn objects that are no burned-in annotation and are to be left alone: implants, leads, tubes, metal, film wear."""
