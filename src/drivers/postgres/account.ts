import { chmod, chown, readFile, stat } from 'node:fs/promises'
import { run } from './program.ts'

/**
 * The account that PostgreSQL runs as: it refuses to run as root. `command` returns how to run a program as that account; `adopt` makes it
 * the owner of a file or folder.
 */
export type Account = {
  command(file: string, args: string[]): { file: string; args: string[]; uid?: number; gid?: number }
  adopt(path: string): Promise<void>
}

export const ourselves: Account = { command: (file, args) => ({ file, args }), adopt: async () => {} }

/** `dataDir` contains `data`, which may not exist yet. `unshare` is the command that creates a user namespace. */
export type AccountRequest = { dataDir: string; data: string; unshare: string }

/**
 * Chooses the account for a database. An ordinary user runs it as itself. Root runs it in a user namespace that maps root to another
 * user: the files still belong to root, so it works below a folder that only root can access. If user namespaces are disabled, a user
 * `postgres` is used, and created if necessary. Existing data of another user is used with that user.
 */
export async function chooseAccount({ dataDir, data, unshare }: AccountRequest): Promise<Account> {
  if (process.getuid?.() !== 0) return ourselves
  const owner = await stat(data).catch(() => null)
  if (owner === null || owner.uid === 0) {
    const namespace = await inNamespace(unshare)
    if ((await run(namespace, 'true', [])).code === 0) return namespace
  }
  const { uid, gid } = owner !== null && owner.uid !== 0 ? owner : await postgresUser()
  const account: Account = { command: (file, args) => ({ file, args, uid, gid }), adopt: (path) => chown(path, uid, gid) }
  await assertReach(account, dataDir)
  if (owner?.uid === 0) await run(ourselves, 'chown', ['-R', `${uid}:${gid}`, data])
  return account
}

async function inNamespace(unshare: string): Promise<Account> {
  // initdb looks up the name of its user, so the mapped id must have an entry in /etc/passwd. On many machines, 1000 has none.
  const users = await passwd()
  const id = (users.find(({ uid }) => uid === 1000) ?? users.find(({ uid }) => uid !== 0))?.uid ?? 1000
  return {
    command: (file, args) => ({ file: unshare, args: ['--user', `--map-user=${id}`, `--map-group=${id}`, file, ...args] }),
    adopt: async () => {},
  }
}

async function postgresUser(): Promise<{ uid: number; gid: number }> {
  const find = async () => (await passwd()).find(({ name }) => name === 'postgres')
  let user = await find()
  if (user === undefined) {
    const made = await run(ourselves, 'sh', ['-c', 'useradd --system --shell /usr/sbin/nologin postgres || adduser -S -D -H postgres'])
    user = await find()
    if (user === undefined) throw new Error(`PostgreSQL cannot run as root, and a user for it could not be created: ${made.output.trim()}`)
  }
  return user
}

async function passwd(): Promise<{ name: string; uid: number; gid: number }[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'))
  return lines
    .filter((parts) => parts.length > 3)
    .map((parts) => ({ name: parts[0] as string, uid: Number(parts[2]), gid: Number(parts[3]) }))
}

/** Lets the account pass through DATA_DIR, without listing it. Throws if a parent directory is not accessible: its mode is not changed. */
async function assertReach(account: Account, dataDir: string): Promise<void> {
  const { mode } = await stat(dataDir)
  await chmod(dataDir, (mode & 0o7777) | 0o011)
  if (await canEnter(account, dataDir)) return
  throw new Error(
    `PostgreSQL cannot run as root: user namespaces are disabled, and other users cannot access ${dataDir}. ` +
      'Move DATA_DIR into directories that all users can access, run Quayside as an ordinary user, or set DATABASE_URL.',
  )
}

export const canEnter = async (account: Account, folder: string) => (await run(account, 'sh', ['-c', 'cd "$1"', 'sh', folder])).code === 0
