"""The smallest Python that reads one artifact back into a state dict, made of pieces by what the file uses.

framework    numpy or torch, without importing either
    loader       source as it grows: imports, definitions, the lines of `load`
chain        codecs and filters off
numbers      bytes as arrays, dtypes that numpy lacks included
containers   the object or the tensors that a container holds
tables       encoded matrices by their schemes' own decoders
layouts      the object as a state dict
proof        the source run by an interpreter of its own, and compared with the reader
run          all of it for one file
"""
