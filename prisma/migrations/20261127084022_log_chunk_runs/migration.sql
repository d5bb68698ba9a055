-- Lines were a JSON array of arrays: milliseconds, stream, level, instance, message, truncated. They become runs of one line each; see
-- src/domain/deploys/log/chunk.ts.
ALTER TABLE "log_chunk" ADD COLUMN "content" BYTEA;

UPDATE "log_chunk" SET "content" = (
  SELECT convert_to(
    '[' || string_agg(json_build_array(1, l -> 0, l -> 1, l -> 2, l -> 3, l -> 5)::text, ',' ORDER BY n) || ']' || E'\n'
      || string_agg(replace(l ->> 4, E'\n', ' ') || E'\n', '' ORDER BY n),
    'UTF8')
  FROM json_array_elements("lines"::json) WITH ORDINALITY AS e(l, n));

-- AlterTable
ALTER TABLE "log_chunk" DROP COLUMN "lines";
ALTER TABLE "log_chunk" RENAME COLUMN "content" TO "lines";
ALTER TABLE "log_chunk" ALTER COLUMN "lines" SET NOT NULL;
