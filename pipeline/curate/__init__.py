"""Curation: a list of gates that documents pass or do not, with every value, edit and copy on record."""
