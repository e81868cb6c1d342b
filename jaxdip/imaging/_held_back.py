"""What decoders say beside their result, held back until it is known whether there is one."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def held_back(logger_name: str) -> Iterator[None]:
    """Lets warnings and records of a logger through only where the block succeeds.

    Where it raises, the error says all there is to say: a damaged file is one line, not several.
    """
    logger, records = logging.getLogger(logger_name), []

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    logger.addFilter(keep)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeFilter(keep)
    for record in records:
        logger.handle(record)
    for one in caught:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
