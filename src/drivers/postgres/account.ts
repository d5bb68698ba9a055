import { chmod, chown, readFile, stat } from 'node:fs/promises'
import { run } from './program.ts'

/**
 * Who PostgreSQL runs as: it refuses to be root. `command` says how to run a program as that account; `adopt` hands it a file or
 * folder that we made.
 */
export type Account = {
  command(file: string, args: string[]): { file: string; args: string[]; uid?: number; gid?: number }
  adopt(path: string): Promise<void>
}

export const ourselves: Account = { command: (file, args) => ({ file, args }), adopt: async () => {} }

/** `dataDir` holds `data`, which may not exist yet; `unshare` is the command that makes a user namespace. */
export type AccountRequest = { dataDir: string; data: string; unshare: string }

/**
 * Chooses the account for a database. An ordinary user runs it as itself. Root
 * runs it in a user namespace that shows root as somebody else: files stay root's, so that it works below a folder that only root
 * may enter. Where user namespaces are off, a user `postgres` is found or made; data that belongs to another user decides by itself.
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
  // initdb looks its user up by name, so the mapped id must have an entry in /etc/passwd: 1000 hasn't on many machines.
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

/** DATA_DIR is closed to others; the account gets leave to pass through it, not to list it. Its parents are not ours to open. */
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
