"""Files of other tools: readers and writers of one format lie in one place.

`sources` finds out which format a file has and reads gold from it, `writers` names what can be exported. A reader takes
content and returns `GoldDocument`s; a writer takes `Document`s and returns files. Neither knows Spark.
"""
