import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Account, canEnter, chooseAccount } from './account.ts'
import { copyPrograms, findPrograms, type Programs, run } from './program.ts'

/** Paths of a cluster and its files, and the account that runs it. `root` is `DATA_DIR/postgres`, `data` the cluster. */
export type Place = { root: string; data: string; log: string; socketDir: string; programs: Programs; account: Account }

export async function findPlace(root: string, unshare: string): Promise<Place> {
  const dataDir = dirname(root)
  const found = await findPrograms()
  const data = join(root, found.major)
  const account = await chooseAccount({ dataDir, data, unshare })
  const programs = (await canEnter(account, found.bin)) ? found : await copyPrograms(found, root)
  // The path of a socket is limited to 107 bytes, so it cannot be in DATA_DIR.
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  const socketDir = join('/tmp', `quayside-${name}`)
  return { root, data, log: join(root, 'server.log'), socketDir, programs, account }
}

export const socketOf = ({ socketDir }: Place) => join(socketDir, '.s.PGSQL.5432')

/** Runs a program of PostgreSQL to its end. On failure, throws an error with the end of its output. */
export async function mustRun({ account }: Place, file: string, args: string[], input = ''): Promise<void> {
  const { code, output } = await run(account, file, args, input)
  if (code !== 0)
    throw new Error(`PostgreSQL: ${file} ${args[0]} exited with code ${code}: ${output.trim().split('\n').slice(-5).join(' ')}`)
}

export async function logTail({ log }: Place): Promise<string> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5)
  return `The end of ${log}: ${lines.join(' | ')}`
}
