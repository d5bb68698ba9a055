/** Reads the ends of many logs in one statement, for lists that show a few lines of each. */
import { rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { readChunk } from './chunk.ts'
import type { LogLine } from './model.ts'

const maxChunks = 100

/**
 * Returns the last lines of each deployment's log, by deployment id: at least one line, and about `bytes` bytes of messages per log.
 * `deploymentIds` is a query for the deployments, limited to the caller's scope. Deployments without lines are omitted.
 */
export async function tailsByDeployment(tx: Tx, deploymentIds: Sql, bytes: number): Promise<Map<string, LogLine[]>> {
  const found = await rows<{ deploymentId: string; firstSeq: number; lines: Uint8Array }>(
    tx,
    sql`select l.deployment_id, c.first_seq::float8, c.lines
        from log l cross join lateral (
          select * from (
            select k.*, sum(k.bytes) over (order by k.first_seq desc) - k.bytes as bytes_behind from (
              select first_seq, bytes, lines from log_chunk where log_id = l.id order by first_seq desc limit ${maxChunks}) k) w
          where w.bytes_behind < ${bytes}) c
        where l.deployment_id in (${deploymentIds}) order by c.first_seq`,
  )
  const tails = new Map<string, LogLine[]>()
  for (const [id, chunks] of Map.groupBy(found, (chunk) => chunk.deploymentId)) {
    tails.set(
      id,
      endOf(
        chunks.flatMap((chunk) => readChunk(chunk.firstSeq, chunk.lines)),
        bytes,
      ),
    )
  }
  return tails
}

function endOf(lines: LogLine[], bytes: number): LogLine[] {
  let start = lines.length
  let room = bytes
  while (start > 0 && room > 0) room -= Buffer.byteLength(lines[--start]!.message) + 1
  return lines.slice(start)
}
