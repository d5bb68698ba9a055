/** Speed of a backup, and time of its verification: a database of about 590 MB that is otherwise idle. */
import { openSource } from '../drivers/backup-support.ts'
import type { BenchResult } from './run.ts'

const leastMbPerSecond = 20

export default async function bench(): Promise<BenchResult> {
  const source = await openSource()
  try {
    const session = await source.connect()
    await session.run('create table big (id int primary key, a text, b text)')
    await session.run(
      `insert into big select n, md5(n::text) || md5((n + 1)::text) || md5((n * 7)::text), repeat('x', 100) from generate_series(1, 2000000) n`,
    )
    await session.run('checkpoint')
    const started = performance.now()
    const backup = await source.backUp()
    const taken = performance.now()
    const { rows, indexes } = await source.verify(backup)
    const backupS = (taken - started) / 1_000
    const verifyS = (performance.now() - taken) / 1_000
    const { contentBytes, sizeBytes } = backup.details
    const mb = (bytes: number) => Math.round(bytes / 1e6)
    const mbPerSecond = Math.round(contentBytes / 1e6 / backupS)
    return {
      scenario: 'backup',
      rows: [{ dataMb: mb(contentBytes), archiveMb: mb(sizeBytes), backupS, mbPerSecond, verifyS, rows, indexes }],
      passed: mbPerSecond >= leastMbPerSecond,
    }
  } finally {
    await source.close()
  }
}
