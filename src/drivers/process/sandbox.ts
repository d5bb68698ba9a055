/**
 * Confinement of untrusted commands. A cell is an environment to run them in: a tree at /app, a home and a /tmp; nothing else is writable.
 *
 * An instance never sees its release itself but a private writable view of it: an overlay if the kernel allows one (nothing is copied),
 * otherwise a copy. The view is removed with the instance.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join, posix, relative, sep } from 'node:path'
import { PortError } from '../../platform/errors.ts'
import { isAlive, type ProcessMark } from '../../platform/process-mark.ts'
import { fileName, type Layout, programsOf } from './layout.ts'
import { descendants, pidsWithEnv, pidsWithLockLimit, pidsWithMount, processTable, signalProcess } from './linux.ts'
import { readToolchain, systemDirectories, type Toolchain } from './toolchain.ts'
import { isInside, removeTree } from './tree.ts'

export type Cell = {
  /** Unique among all existing cells. */
  name: string
  /** Directory for the cell's own files. The caller creates and removes it. */
  directory: string
  /** The tree that the command works on. */
  tree: string
  /** `direct`: changes are made to the tree itself. `view`: changes are made to a private view, and the tree never changes. */
  access: 'direct' | 'view'
  /** Relative to the tree; '' is its root. */
  workingDirectory: string
  /** Names of tools (tool.ts) that take precedence over the host's programs, in order. */
  tools: readonly string[]
  /** A further writable directory, for builds. */
  cache: string | null
  /** Directories that are visible in the cell at other paths, none of them inside another one. Only with `view`. */
  mounts?: readonly Mount[]
  /** Private files for the command, by name. It can read them, and nothing else can. */
  files?: Record<string, string>
  /** `bound`: all processes end with the process that started the cell. `detached`: they outlive it. */
  lifetime: 'bound' | 'detached'
}

/** `path` is absolute. Without a sandbox, it is below /app, and `readOnly` has no effect. */
export type Mount = { directory: string; path: string; readOnly: boolean }

/** The cell's directories as the command sees them. `mounted` converts the path of a mount. */
export type CellPaths = {
  app: string
  home: string
  temporary: string
  cache: string | null
  files: string
  tools: Record<string, string>
  path: string
  mounted(path: string): string
}

/**
 * `/bin/sh -c script sh ...args` runs the command. It reads `input`, if any, from descriptor 4, and reports `{"child-pid": n}` and
 * `{"exit-code": n}` as JSON on descriptor 3.
 */
export type Launch = { script: string; args: string[]; env: Record<string, string>; cwd: string; input: Buffer | null }

/** While this file exists in a cell's directory, its processes may outlive the first one. */
export const stoppingFile = 'stopping'

export interface Sandbox {
  readonly kind: 'bubblewrap' | 'none'
  /** Why bubblewrap is not used; null if it is. */
  readonly missing: string | null
  /** Creates the cell's own directories, and its view if it has one. Throws PortError START_FAILED for a mount that is not possible. */
  prepare(cell: Cell): Promise<void>
  paths(cell: Cell): CellPaths
  /** PATH of the host's programs in a cell. */
  readonly hostPath: string
  /** Throws TypeError for a variable that cannot be passed to a process (a NUL byte, `=` in the name). */
  launch(cell: Cell, command: string, env: Record<string, string>): Launch
  /**
   * All processes of a cell except its root (see report.ts), which may have exited. If the root is unknown (null), they are found by the
   * cell's directory; for example if the parent of bubblewrap died before bubblewrap had set up to end with it.
   */
  members(cell: { name: string; directory?: string }, root: ProcessMark | null): number[]
}

export type SandboxOptions = {
  choice: 'auto' | 'bwrap' | 'none'
  layout: Layout
  hostPath: string
  /** Directories to hide from all cells, even below /usr. DATA_DIR is always hidden. */
  hidden: string[]
}

/** Throws if bubblewrap is required and does not work. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const hidden = [options.layout.dataDir, ...options.hidden]
  const toolchain = await readToolchain(options.hostPath, hidden)
  if (options.choice === 'none') return openSandbox(toolchain, options.layout, 'the setting SANDBOX disables it')
  const surroundings = await readSurroundings(options.layout, toolchain, hidden)
  let problem = ''
  // Features that the kernel or bubblewrap do not support are omitted, the least important first.
  for (const overlay of [true, false]) {
    for (const nested of [false, true]) {
      const sandbox = bubblewrap(surroundings, toolchain, options.layout, { overlay, nested })
      const found = await tryOut(sandbox, options.layout)
      if (found === null) return sandbox
      problem = found
    }
  }
  if (options.choice === 'bwrap') throw new Error(`SANDBOX is bwrap, but bubblewrap does not work on this machine: ${problem}`)
  return openSandbox(toolchain, options.layout, problem)
}

/** PATH for the outer programs (bwrap, unshare, mount). Never a PATH that a user or an app has set. */
const outerEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' }

/**
 * If the control plane runs as root, its user id can write to these without any capability. bubblewrap covers them only if it finds the
 * directories themselves writable, which is not the case in a user namespace.
 */
const coveredProc = ['sys', 'sysrq-trigger', 'irq', 'bus', 'fs', 'acpi', 'scsi'].flatMap((name) => [
  '--ro-bind-try',
  `/proc/${name}`,
  `/proc/${name}`,
])

const mountView = `mount -t overlay overlay -o "lowerdir=lower,upperdir=upper,workdir=work,userxattr" view && exec "$@"`

type Abilities = {
  /** Whether a view is an overlay and not a copy. */
  overlay: boolean
  /** Whether a cell can create user namespaces, which give access to more of the kernel. */
  nested: boolean
}

function bubblewrap(surroundings: Surroundings, toolchain: Toolchain, layout: Layout, { overlay, nested }: Abilities): Sandbox {
  const paths = (cell: Cell): CellPaths => ({
    app: '/app',
    home: '/home/app',
    temporary: '/tmp',
    cache: cell.cache === null ? null : '/cache',
    files: '/run/quayside',
    tools: Object.fromEntries(cell.tools.map((name) => [name, `/tools/${name}`])),
    path: [...cell.tools.map((name) => programsOf(`/tools/${name}`)), toolchain.sandboxPath].join(delimiter),
    mounted: (path) => path,
  })
  return {
    kind: 'bubblewrap',
    missing: null,
    hostPath: toolchain.sandboxPath,
    paths,
    async prepare(cell) {
      await makeOwnDirectories(cell)
      if (cell.access === 'direct') return
      for (const { path } of cell.mounts ?? []) {
        await demandMountPoint(cell, path)
        const hidden = [...systemDirectories, ...toolchain.directories].find((name) => isInside(path, name) || isInside(name, path))
        if (hidden !== undefined) throw mountRefused(path, `${hidden} is a directory of the system`)
      }
      if (!overlay) return copyTree(cell)
      for (const name of ['upper', 'work', 'view']) await mkdir(join(cell.directory, name))
      // Mount options cannot contain every path, because ',' and ':' are separators. A link with a plain name can.
      await symlink(cell.tree, join(cell.directory, 'lower'))
    },
    launch(cell, command, env) {
      checkEnv(env)
      const tree = cell.access === 'direct' ? cell.tree : join(cell.directory, 'view')
      // A truncated list must not start anything, so the options that make /bin/sh reachable come last.
      const options = [
        ...['--unshare-user', '--uid', '1000', '--gid', '1000', '--unshare-pid', '--unshare-ipc', '--unshare-uts'],
        ...(nested ? [] : ['--disable-userns']),
        ...['--hostname', 'quayside', '--new-session', '--cap-drop', 'ALL'],
        ...(cell.lifetime === 'bound' ? ['--die-with-parent'] : []),
        ...['--clearenv', ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value])],
        ...['--proc', '/proc', ...coveredProc, '--dev', '/dev', '--size', String(64 << 20), '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
        ...['/root', '/home', '/var', '/run'].flatMap((directory) => ['--dir', directory]),
        ...['--bind', tree, '/app', '--bind', join(cell.directory, 'home'), '/home/app', '--bind', join(cell.directory, 'tmp'), '/tmp'],
        ...(cell.mounts ?? []).flatMap(({ directory, path, readOnly }) => [readOnly ? '--ro-bind' : '--bind', directory, path]),
        ...(cell.cache === null ? [] : ['--bind', cell.cache, '/cache', ...surroundings.buildOnly]),
        ...cell.tools.flatMap((name) => ['--ro-bind', join(layout.tools, name), `/tools/${name}`]),
        ...(cell.files === undefined ? [] : ['--ro-bind', filesOf(cell), '/run/quayside']),
        ...['--chdir', posix.join('/app', cell.workingDirectory)],
        ...surroundings.system,
        ...['--remount-ro', '/'],
      ]
      const confined = ['bwrap', '--args', '4', '--json-status-fd', '3', '--', '/bin/sh', '-c', command]
      const mounted = cell.access === 'view' && overlay
      return {
        script: 'exec "$@"',
        args: mounted ? ['unshare', '--user', '--map-root-user', '--mount', '--', '/bin/sh', '-c', mountView, 'sh', ...confined] : confined,
        // User variables are passed only to the command: LD_PRELOAD and similar ones must not affect the outer programs.
        env: outerEnv,
        cwd: cell.directory,
        input: Buffer.from(options.map((option) => `${option}\0`).join('')),
      }
    },
    members({ directory }, root) {
      if (root === null) return directory === undefined ? [] : pidsWithMount(directory)
      return isAlive(root) ? descendants([root.pid]).map((row) => row.pid) : []
    },
  }
}

const cellMark = 'QUAYSIDE_CELL'

/**
 * A limit of file locks that only processes of this cell have. Linux does not enforce this limit. A child inherits it even if it leaves
 * its session, its parent and its environment.
 */
function lockLimit(cell: { name: string }): number {
  return 2 ** 46 + createHash('sha256').update(cell.name).digest().readUIntBE(0, 5)
}

/**
 * Kills what the command left running in its process group, unless the cell is being stopped and waits for its processes. Processes that
 * left the group are found by their limit of file locks (`-w` for dash, `-x` for bash) or their environment. The shell's own messages
 * about signals are not part of the output.
 */
const watchCommand = `
{ ulimit -w "$3" || ulimit -x "$3"; } 2>/dev/null
printf '{ "child-pid": %s }\\n' $$ >&3
exec 5>&2 2>/dev/null
(exec 2>&5 3>&- 5>&-; exec /bin/sh -c "$1")
printf '{ "exit-code": %s }\\n' $? >&3
[ -e "$2" ] || kill -KILL 0`

function openSandbox(toolchain: Toolchain, layout: Layout, missing: string): Sandbox {
  const tree = (cell: Cell) => (cell.access === 'direct' ? cell.tree : join(cell.directory, 'view'))
  return {
    kind: 'none',
    missing,
    hostPath: toolchain.hostPath,
    async prepare(cell) {
      await makeOwnDirectories(cell)
      if (cell.access === 'direct') return
      await copyTree(cell)
      for (const mount of cell.mounts ?? []) await linkMount(cell, mount)
    },
    paths: (cell) => ({
      app: tree(cell),
      home: join(cell.directory, 'home'),
      temporary: join(cell.directory, 'tmp'),
      cache: cell.cache,
      files: filesOf(cell),
      tools: Object.fromEntries(cell.tools.map((name) => [name, join(layout.tools, name)])),
      path: [...cell.tools.map((name) => programsOf(join(layout.tools, name))), toolchain.hostPath].join(delimiter),
      mounted: (path) => join(tree(cell), relative('/app', path)),
    }),
    launch(cell, command, env) {
      checkEnv(env)
      return {
        script: watchCommand,
        args: [command, join(cell.directory, stoppingFile), String(lockLimit(cell))],
        env: { ...env, [cellMark]: cell.name },
        cwd: join(tree(cell), cell.workingDirectory),
        input: null,
      }
    },
    members(cell, root) {
      const table = processTable()
      const found = new Set([...pidsWithEnv(`${cellMark}=${cell.name}`), ...pidsWithLockLimit(lockLimit(cell))])
      if (root !== null && isAlive(root)) for (const row of table) if (row.session === root.pid) found.add(row.pid)
      for (const row of descendants([...found], table)) found.add(row.pid)
      if (root !== null) found.delete(root.pid)
      return [...found]
    },
  }
}

function checkEnv(env: Record<string, string>): void {
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0'))
      throw new TypeError('A variable has a name or value that cannot be passed to a process.')
  }
}

const filesOf = (cell: Cell): string => join(cell.directory, 'files')

async function makeOwnDirectories(cell: Cell): Promise<void> {
  for (const name of ['home', 'tmp']) await mkdir(join(cell.directory, name), { recursive: true })
  if (cell.files === undefined) return
  await mkdir(filesOf(cell), { mode: 0o700 })
  for (const [name, content] of Object.entries(cell.files)) await writeFile(join(filesOf(cell), fileName(name)), content, { mode: 0o600 })
}

async function copyTree(cell: Cell): Promise<void> {
  const view = join(cell.directory, 'view')
  await mkdir(view)
  const copy = await runQuietly('cp', ['-a', '--reflink=auto', `${cell.tree}/.`, view])
  if (copy.code === 0) return
  throw Object.assign(new Error('The release could not be copied.'), /No space left/.test(copy.errors) ? { code: 'ENOSPC' } : {})
}

const mountRefused = (path: string, reason: string) =>
  new PortError('START_FAILED', `The disk cannot be mounted at ${path}: ${reason}.`, { hint: 'Create the disk with another mount path.' })

/** Below /app, only directories may be on the way to a mount: a link in the release could lead anywhere. */
async function demandMountPoint(cell: Cell, path: string): Promise<void> {
  if (!isInside('/app', path)) return
  const parts = relative('/app', path).split(sep)
  for (let i = 1; i <= parts.length; i++) {
    const found = await lstat(join(cell.tree, ...parts.slice(0, i))).catch(() => null)
    if (found === null) return
    if (!found.isDirectory()) throw mountRefused(path, `the release contains ${parts.slice(0, i).join('/')}, which is not a directory`)
  }
}

/** Without a sandbox, a link in the view of the release takes the place of a mount. */
async function linkMount(cell: Cell, { directory, path }: Mount): Promise<void> {
  if (!isInside('/app', path) || path === '/app') throw mountRefused(path, 'without bubblewrap, only paths below /app are possible')
  await demandMountPoint(cell, path)
  const link = join(cell.directory, 'view', relative('/app', path))
  await removeTree(link)
  await mkdir(dirname(link), { recursive: true })
  await symlink(directory, link)
}

/** bubblewrap's options for the parts of the host that are visible in cells. */
type Surroundings = { system: string[]; buildOnly: string[] }

/** Of the certificate directories, only the public parts: next to them are the host's private keys. */
const shownOfEtc = [
  ...['resolv.conf', 'hosts', 'nsswitch.conf', 'host.conf', 'gai.conf', 'protocols', 'services', 'mime.types', 'localtime', 'timezone'],
  ...['ssl/certs', 'ssl/cert.pem', 'ssl/openssl.cnf', 'pki/tls/certs', 'pki/tls/cert.pem', 'pki/tls/openssl.cnf', 'pki/ca-trust'],
  ...['ca-certificates', 'alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'java-11-openjdk', 'java-17-openjdk'],
]

/** Configuration of the host's package registries, which instances must not see. */
const shownToBuilds = ['npmrc', 'pip.conf']

async function readSurroundings(layout: Layout, toolchain: Toolchain, hidden: string[]): Promise<Surroundings> {
  const synthetic = {
    passwd: 'app:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    group: 'app:x:1000:\nnogroup:x:65534:\n',
    hostname: 'quayside\n',
  }
  const system: string[] = []
  for (const [name, content] of Object.entries(synthetic)) {
    const file = join(layout.sandbox, name)
    await writeFile(file, content)
    system.push('--ro-bind', file, `/etc/${name}`)
  }
  for (const name of shownOfEtc) system.push('--ro-bind-try', `/etc/${name}`, `/etc/${name}`)
  const links: string[] = []
  for (const directory of toolchain.directories) system.push('--ro-bind', directory, directory)
  for (const directory of systemDirectories) {
    const found = await lstat(directory).catch(() => null)
    if (found?.isSymbolicLink()) links.push('--symlink', await readlink(directory), directory)
    else if (found?.isDirectory()) system.push('--ro-bind', directory, directory)
  }
  const shown = [...systemDirectories, ...toolchain.directories]
  for (const secret of hidden) {
    if (shown.some((directory) => isInside(directory, secret))) system.push('--tmpfs', secret, '--remount-ro', secret)
  }
  system.push(...links)
  return { system, buildOnly: shownToBuilds.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]) }
}

/** Runs a command in a cell with a view. Returns null if it worked, otherwise the error output. */
async function tryOut(sandbox: Sandbox, layout: Layout): Promise<string | null> {
  const directory = await mkdtemp(join(layout.sandbox, 'try-'))
  try {
    const tree = join(directory, 'tree')
    await mkdir(tree)
    await writeFile(join(tree, 'seen'), '')
    const cell: Cell = { name: 'try', directory, tree, access: 'view', workingDirectory: '', tools: [], cache: null, lifetime: 'bound' }
    await sandbox.prepare(cell)
    const launch = sandbox.launch(cell, 'test -f seen && : > written', { PATH: sandbox.paths(cell).path })
    const result = await runQuietly('/bin/sh', ['-c', launch.script, 'sh', ...launch.args], launch)
    await rm(join(directory, 'lower'), { force: true })
    return result.code === 0 ? null : result.errors.trim() || `it exited with code ${result.code}`
  } finally {
    await removeTree(directory)
  }
}

type QuietResult = { code: number | null; errors: string }

const quietMs = 60_000

function runQuietly(file: string, args: string[], launch?: Launch): Promise<QuietResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: launch?.cwd,
      env: launch?.env ?? outerEnv,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(launch?.input ? (['pipe'] as const) : [])],
    })
    const killGroup = () => void (child.pid !== undefined && signalProcess(-child.pid, 'SIGKILL'))
    const timer = setTimeout(killGroup, quietMs)
    feed(child.stdio[4], launch?.input ?? null)
    let errors = ''
    child.stdio[2]?.on('data', (bytes: Buffer) => {
      if (errors.length < 2000) errors += bytes.toString()
    })
    child.stdio[3]?.on('data', () => undefined)
    child.on('error', (error) => resolve({ code: null, errors: error.message }))
    // A bwrap that fails may leave its first child waiting, which holds the pipes open.
    child.on('exit', killGroup)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, errors })
    })
  })
}

/** Writes the input of a launch. A reader that exited early is detected by its exit, so errors are ignored. */
export function feed(pipe: unknown, input: Buffer | null): void {
  if (input === null || pipe === null || typeof pipe !== 'object' || !('end' in pipe)) return
  const writer = pipe as import('node:stream').Writable
  writer.on('error', () => undefined)
  writer.end(input)
}
