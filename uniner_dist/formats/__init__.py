"""Files of other tools: the reader and the writer of a format are in the same place.

`sources` finds out which format a file has and reads gold from it, `writers` is the registry of the export formats. A
reader takes the content of a file and returns `GoldDocument`s; a writer takes `Document`s and returns files. Neither
uses Spark.
"""
