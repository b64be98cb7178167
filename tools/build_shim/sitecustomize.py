"""Restore two names that pyradiomics 3.0.1's setup script needs and Python 3.12 removed.

Put on PYTHONPATH while that one package is built; nothing else ever sees it.
"""

import configparser

if not hasattr(configparser, "SafeConfigParser"):
    configparser.SafeConfigParser = configparser.ConfigParser
    configparser.ConfigParser.readfp = configparser.ConfigParser.read_file
