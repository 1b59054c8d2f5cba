-- Recomputes the headline of this job's report from its rows. Needs duckdb and nothing of ours.
--
-- Run it in the output folder, the one that holds manifest.json:
--
--     duckdb < report/recompute.sql            (add -csv for text without boxes)
--
-- Every number is an exact integer (duckdb sums BIGINT into HUGEINT, which does not wrap) or a quotient of two of them
-- to twelve digits. FLOPs are 2 x multiply-accumulates of matrix products and convolutions. Of a row they are counted
-- as if it ran alone. Only rows with status 'ok' can save anything.
--
-- Baseline: same weights, same decoding, same hardware, every row at full depth and at the length that it has here.

-- Where the output folder is; '' is the current directory.
SET VARIABLE root = '';

-- The rows: exactly the parts that the manifest lists, never a glob. Other files in data/ do not count.
SET VARIABLE parts = (
  SELECT list(getvariable('root') || path)
  FROM (
    SELECT unnest(json_extract_string(content, '$$.parts[*].path')) AS path
    FROM read_text(getvariable('root') || 'manifest.json')
  )
);
CREATE OR REPLACE TEMP VIEW live AS SELECT * FROM read_parquet(getvariable('parts'));
CREATE OR REPLACE TEMP VIEW answered AS SELECT * FROM live WHERE status = 'ok';

-- Layers of the model, for the paper's metric alone.
SET VARIABLE layers = (
  SELECT
    json_extract(content, '$$.fingerprint_parts.model.config.encoder_layers')::BIGINT
    + json_extract(content, '$$.fingerprint_parts.model.config.decoder_layers')::BIGINT
  FROM read_text(getvariable('root') || 'plan.json')
);

-- Work that was done and does not count: FLOPs of rows in parts that others replaced, and in files that a crash left
-- without a receipt. They are in none of the live parts: this figure is the report's and is not recomputed here.$bound
SET VARIABLE discarded = $discarded;

-- A quotient to twelve digits, cut off and not rounded, in integers alone.
CREATE OR REPLACE TEMP MACRO quotient(part, whole) AS
  CASE WHEN whole = 0 THEN NULL ELSE
    (CASE WHEN part < 0 THEN '-' ELSE '' END)
    || ((abs(part::HUGEINT) * 1000000000000 // whole) // 1000000000000)::VARCHAR || '.'
    || lpad(((abs(part::HUGEINT) * 1000000000000 // whole) % 1000000000000)::VARCHAR, 12, '0')
  END;

-- Everything that the headline needs, in one pass over the rows.
CREATE OR REPLACE TEMP TABLE sums AS
SELECT
  count(*) AS n_rows,
  count(*) FILTER (status = 'ok') AS rows_ok,
  count(*) FILTER (status = 'failed') AS rows_failed,
  count(*) FILTER (status = 'filtered') AS rows_filtered,
  -- Executed for rows without an answer, as far as it is known.
  coalesce(sum(flops_executed) FILTER (status <> 'ok'), 0) AS without_a_result,
  coalesce(sum(flops_full_same_length) FILTER (status = 'ok'), 0) AS baseline,
  coalesce(sum(flops_executed) FILTER (status = 'ok'), 0) AS executed,
  coalesce(sum(flops_kv_fill) FILTER (status = 'ok'), 0) AS kv_fill,
  coalesce(sum(flops_checks) FILTER (status = 'ok'), 0) AS checks,
  coalesce(sum(flops_padding) FILTER (status = 'ok'), 0) AS padding,
  coalesce(sum(shadow.flops) FILTER (status = 'ok'), 0) AS shadow,
  coalesce(sum(flops_reused) FILTER (status = 'ok'), 0) AS reused,
  coalesce(sum(flops_reused_tables) FILTER (status = 'ok'), 0) AS reused_tables,
  coalesce(sum(flops_reused_text) FILTER (status = 'ok'), 0) AS reused_text,
  coalesce(sum(flops_reused_image) FILTER (status = 'ok'), 0) AS reused_image,
  coalesce(sum(flops_reused_cross_kv) FILTER (status = 'ok'), 0) AS reused_cross_kv,
  count(shadow.flops) FILTER (status = 'ok') AS rows_shadowed,
  count(*) FILTER (status = 'ok' AND shadow.agrees) AS shadow_agrees,
  sum(image_layers_run) FILTER (status = 'ok') AS image_layers,
  count(image_layers_run) FILTER (status = 'ok') AS image_rows,
  sum(text_layers_run) FILTER (status = 'ok') AS text_layers,
  count(text_layers_run) FILTER (status = 'ok') AS text_rows,
  sum(list_sum(decoder_layers_run)) FILTER (status = 'ok') AS decoder_layers,
  sum(len(decoder_layers_run)) FILTER (status = 'ok') AS decoder_tokens
FROM live;

-- 1. The headline.
WITH lines AS (
  SELECT
    *,
    checks + padding + shadow + without_a_result + getvariable('discarded') AS overheads,
    -- The paper's layer metric (arXiv 2211.11152): layers not run. Neither FLOPs nor time.
    1 - (
      (image_layers / image_rows + coalesce(text_layers / text_rows, image_layers / image_rows)) / 2
      + decoder_layers / decoder_tokens
    ) / getvariable('layers') AS paper
  FROM sums
)
SELECT unnest([
  {name: 'rows', value: n_rows::VARCHAR},
  {name: 'rows_ok', value: rows_ok::VARCHAR},
  {name: 'rows_failed', value: rows_failed::VARCHAR},
  {name: 'rows_filtered', value: rows_filtered::VARCHAR},
  -- Full depth, and what was run instead; the difference is what early exit saved, and nothing else is in it.
  {name: 'flops_baseline', value: baseline::VARCHAR},
  {name: 'flops_executed', value: executed::VARCHAR},
  {name: 'flops_saved_by_early_exit', value: (baseline - executed)::VARCHAR},
  {name: 'share_saved_by_early_exit', value: quotient(baseline - executed, baseline)},
  -- Overheads: similarity checks; work in a row's place that it did not need; full-depth runs of shadowed rows; rows
  -- that got no answer; work that does not count.
  {name: 'flops_checks', value: checks::VARCHAR},
  {name: 'flops_padding', value: padding::VARCHAR},
  {name: 'flops_shadow', value: shadow::VARCHAR},
  {name: 'flops_without_a_result', value: without_a_result::VARCHAR},
  {name: 'flops_discarded', value: getvariable('discarded')::VARCHAR},
  -- Net: baseline - executed - overheads.
  {name: 'flops_net', value: (baseline - executed - overheads)::VARCHAR},
  {name: 'share_net', value: quotient(baseline - executed - overheads, baseline)},
  -- Of executed: keys and values of skipped layers, projected later.
  {name: 'flops_kv_fill', value: kv_fill::VARCHAR},
  -- Not executed because another row's result was shared. No saving of early exit, and in none of the lines above.
  {name: 'flops_reused', value: reused::VARCHAR},
  {name: 'flops_reused_tables', value: reused_tables::VARCHAR},
  {name: 'flops_reused_text', value: reused_text::VARCHAR},
  {name: 'flops_reused_image', value: reused_image::VARCHAR},
  {name: 'flops_reused_cross_kv', value: reused_cross_kv::VARCHAR},
  -- Rows that were run again at full depth, and those of them whose answer was the same.
  {name: 'rows_shadowed', value: rows_shadowed::VARCHAR},
  {name: 'shadow_agrees', value: shadow_agrees::VARCHAR},
  {name: 'paper_layer_metric', value: format('{:.9f}', paper)}
], recursive := true)
FROM lines;

-- 2. The same by task.
SELECT
  task,
  count(*) AS rows_ok,
  sum(flops_full_same_length) AS flops_baseline,
  sum(flops_executed) AS flops_executed,
  sum(flops_full_same_length) - sum(flops_executed) AS flops_saved_by_early_exit,
  quotient(sum(flops_full_same_length) - sum(flops_executed), sum(flops_full_same_length)) AS share_saved
FROM answered
GROUP BY task
ORDER BY task;

-- 3. How deep decoding went: tokens by decoding step (from 0) and layers run.
SELECT task, step, layers_run, count(*) AS tokens
FROM (
  SELECT task, unnest(decoder_layers_run) AS layers_run, generate_subscripts(decoder_layers_run, 1) - 1 AS step
  FROM answered
)
GROUP BY task, step, layers_run
ORDER BY task, step, layers_run;
