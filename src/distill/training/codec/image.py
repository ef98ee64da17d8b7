"""The codebook of the stereo image, fitted to the training files: it depends on them alone, not on the codec's weights."""

from distill.corpus.sounds import Corpus
from distill.models.image import ImageCodebook, fit_image, image_powers, image_vectors
from distill.settings.geometry import IMAGE_COLUMNS


def corpus_image(corpus: Corpus, size: int, seed: int) -> ImageCodebook:
    """A codebook of `size` vectors for a stereo corpus."""
    stereo = [file for file in corpus.manifest.train if file.stereo]
    powers = (image_powers(corpus.audio(file)[0], corpus.side(file)) for file in stereo)
    return fit_image([image_vectors(each, IMAGE_COLUMNS) for each in powers], size, seed, IMAGE_COLUMNS)
