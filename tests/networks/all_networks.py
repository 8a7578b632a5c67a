"""The list of all networks: importing a file of builders fills it."""
import assorted_networks  # noqa: F401
import decoder_networks  # noqa: F401
import detection_networks  # noqa: F401
import estimators  # noqa: F401
import found_networks  # noqa: F401
import language_networks  # noqa: F401
import light_networks  # noqa: F401
import optimized_networks  # noqa: F401
import picture_networks  # noqa: F401
import pipelines  # noqa: F401
import quantized_networks  # noqa: F401
import resized_networks  # noqa: F401
import scripted_networks  # noqa: F401
import search_networks  # noqa: F401
import sequence_networks  # noqa: F401
import tensorflow_networks  # noqa: F401
import text_networks  # noqa: F401
import vision_networks  # noqa: F401
from catalog import NETWORKS  # noqa: F401
