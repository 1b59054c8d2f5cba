"""`meta_json` is stored once for an image, on its first query; here it is put back on all of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def with_meta_json(rows: pa.Table) -> pa.Table:
    """Return the rows of a whole part with the `meta_json` of each image on all of its queries.

    The column becomes a dictionary: an image with a thousand queries has its members once in memory.
    """
    is_first = np.asarray(pc.equal(rows["query"], 0), dtype=bool)
    values = rows["meta_json"].filter(pa.array(is_first)).combine_chunks()
    column = pa.DictionaryArray.from_arrays(pa.array(np.cumsum(is_first) - 1, pa.int32()), values)
    return rows.set_column(rows.schema.get_field_index("meta_json"), "meta_json", column)
