/** The ends of many logs in one statement, for lists that show a little of each. */
import { rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { type LogLine, readChunk } from './model.ts'

const maxChunks = 100

/**
 * The last lines of each deployment's log, by the deployment's id; messages of about `bytes` bytes in all, one line at least.
 * `deploymentIds` selects them, within the caller's scope. A deployment without lines is left out.
 */
export async function tailsByDeployment(tx: Tx, deploymentIds: Sql, bytes: number): Promise<Map<string, LogLine[]>> {
  const found = await rows<{ deploymentId: string; firstSeq: number; lines: string }>(
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
