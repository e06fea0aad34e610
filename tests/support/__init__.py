"""What tests of several rooms build on: small models and files, second decoders, the command line in this process."""
