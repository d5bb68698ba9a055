/**
 * The starter, run by every npm script on the host's Node (20 or newer, so it uses only Node's own modules). It installs the packages if the
 * lockfile has changed, generates the Prisma client if the models have changed, and then runs the program on the Node version of the
 * lockfile. It prints nothing if there is nothing to do, and knows nothing of settings, ports or databases.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const bin = join(root, 'node_modules', '.bin')
const node = join(bin, 'node')
const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

/** Exit code with which a server or worker requests a restart; see src/platform/uncaught.ts. */
const restartExitCode = 75
const longestWaitMs = 30_000
/** After running for this long, a process is restarted with the shortest wait again. */
const calmMs = 60_000

/**
 * Limits of the heap in MB, and `gc` for serve.ts. Up to 1,000 MB of old objects, V8 lets the heap at most double before it collects them, and
 * beyond that it may quadruple. Smaller young generations leave less unused memory; with 8 MB instead of 16, they would be collected twice as
 * often under load. Together the limits halve what a server takes after it was busy.
 */
const heap = ['--max-old-space-size=1000', '--max-semi-space-size=16', '--expose-gc']

/** What each command runs. Any other command is a file of src/cli. @type {Record<string, string[]>} */
const programs = {
  start: [...heap, 'src/main.ts'],
  worker: [...heap, 'src/main.ts', 'worker'],
  dev: ['--watch', '--watch-preserve-output', 'src/main.ts'],
  bench: ['test/bench/run.ts'],
}

/** The two results to keep up to date. Each has a stamp with the hash of its sources. */
const installed = {
  stamp: join(root, 'node_modules', '.quayside-installed'),
  wanted: () => hash(['package-lock.json']),
  isDone: () => existsSync(node),
  isAdopted: holdsLockedPackages,
}
const generated = {
  stamp: join(root, 'src', 'generated', '.stamp'),
  wanted: () => hash(['package-lock.json', ...schemaFiles('prisma')]),
  isDone: () => existsSync(join(root, 'src/generated/prisma/client.ts')) && existsSync(join(root, 'src/generated/pothos-types.ts')),
}

async function main() {
  const [command = 'start', ...rest] = process.argv.slice(2)
  const program = programs[command] ?? [`src/cli/${command}.ts`]
  const entry = program.find((part) => part.endsWith('.ts'))
  if (!/^[a-z-]+$/.test(command) || entry === undefined || !existsSync(join(root, entry))) fail(`The command ${command} does not exist.`)

  if (!isFresh(installed) || !isFresh(generated)) {
    await withLock(async () => {
      if (!isFresh(installed)) await install()
      if (!isFresh(generated)) await generateClient()
    })
  }
  // Without a cache, stripping types and compiling take a fifth of the start and memory that is not freed.
  const env =
    entry === 'src/main.ts' ? { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'compile'), ...process.env } : process.env
  const args = [...program.map((part) => (part === entry ? join(root, part) : part)), ...rest]
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, longestWaitMs)) {
    const begun = performance.now()
    process.exitCode = await run(node, args, { env })
    if (entry !== 'src/main.ts' || process.exitCode !== restartExitCode) return
    if (performance.now() - begun > calmMs) waitMs = 500
    say(`Quayside exited after an internal error. Restarting in ${waitMs / 1000} s.`)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

async function install() {
  say('Installing packages (npm ci) ...')
  const begun = performance.now()
  const progress = setInterval(
    () => say(`Still installing, ${presentPackages()} (${Math.round((performance.now() - begun) / 1000)} s) ...`),
    10_000,
  )
  const code = await run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, quiet: true })
  clearInterval(progress)
  // This install script is needed even if npm is configured to run none: it downloads the Node that everything else runs on.
  if (code === 0 && !existsSync(node))
    await run(process.execPath, ['installArchSpecificPackage.js'], { cwd: join(root, 'node_modules/node'), quiet: true })
  if (code !== 0 || !existsSync(node)) fail(`The packages could not be installed (npm ci exited with code ${code}).`, code)
  writeFileSync(installed.stamp, installed.wanted())
}

/** Progress of the installation. npm creates the folder of a package before its content. */
function presentPackages() {
  const locked = Object.keys(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages).filter((path) => path !== '')
  return `${locked.filter((path) => existsSync(join(root, path))).length} of at most ${locked.length} packages are installed`
}

/** Works offline: `generate` doesn't use the schema engine, but would download its binary unless given one. */
async function generateClient() {
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env.PATH}`,
    PRISMA_SCHEMA_ENGINE_BINARY: ['/bin/true', '/usr/bin/true'].find((path) => existsSync(path)),
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
  }
  const wanted = generated.wanted()
  const code = await run(node, [join(bin, 'prisma'), 'generate', '--schema', join(root, 'prisma')], { cwd: root, env, quiet: true })
  if (code !== 0) fail('The Prisma client could not be generated from prisma/.', code)
  mkdirSync(dirname(generated.stamp), { recursive: true })
  writeFileSync(generated.stamp, wanted)
}

/** @param {{ stamp: string, wanted: () => string, isDone: () => boolean, isAdopted?: () => boolean }} fact */
function isFresh({ stamp, wanted, isDone, isAdopted = () => false }) {
  if (!isDone()) return false
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted()) return true
  if (!isAdopted()) return false
  writeFileSync(stamp, wanted())
  return true
}

/** Whether node_modules matches the lockfile, as after `npm install` of another package, by npm's record of what it installed. */
function holdsLockedPackages() {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const present = JSON.parse(readFileSync(record, 'utf8')).packages
  return Object.keys(locked).every((path) => path === '' || locked[path].optional || present[path]?.version === locked[path].version)
}

/** @param {string[]} paths */
function hash(paths) {
  const sum = createHash('sha256')
  for (const path of paths) sum.update(path).update(readFileSync(join(root, path)))
  return sum.digest('hex')
}

/** @param {string} folder @returns {string[]} */
function schemaFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? schemaFiles(path) : path.endsWith('.prisma') ? [path] : []
  })
}

/**
 * Runs `work` while no other starter of this checkout does. Locks this file itself, because nothing else is sure to survive `npm ci`. A child
 * process holds the lock until its input closes, so it is released however this process ends.
 * @param {() => Promise<void>} work
 */
async function withLock(work) {
  const lock = process.platform === 'darwin' ? ['lockf', '-k'] : ['flock', '--exclusive']
  const [command, ...args] = [...lock, fileURLToPath(import.meta.url), 'sh', '-c', 'echo held; exec cat']
  const holder = spawn(/** @type {string} */ (command), args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true })
  holder.stdin.on('error', () => {})
  await new Promise((resolve) => {
    holder.once('error', () => fail(`The program ${command} is required, but cannot be run.`))
    holder.once('close', (code) => fail(`The lock of the installation could not be acquired (${command} exited with code ${code}).`))
    holder.stdout.once('data', resolve)
  })
  holder.removeAllListeners('close')
  try {
    await work()
  } finally {
    holder.stdin.end()
  }
}

/**
 * Runs a program and forwards signals to it. Returns its exit code, or 128 + the number of the signal that ended it. With `quiet`, its output
 * is only printed if it fails.
 * @param {string} file @param {string[]} args @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean }} [options]
 * @returns {Promise<number>}
 */
function run(file, args, { cwd, env, quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd, env, stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit' })
    let printed = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (printed += bytes))
    /** @type {NodeJS.Signals | undefined} */
    let ended
    const pass = signals.map((signal) => {
      const listener = () => {
        ended = signal
        child.kill(signal)
      }
      process.on(signal, listener)
      return () => process.off(signal, listener)
    })
    const finish = (/** @type {number} */ code) => {
      for (const stop of pass) stop()
      if (quiet && ended !== undefined) process.exit(128 + constants.signals[ended])
      if (code !== 0) process.stderr.write(printed)
      resolve(code)
    }
    child.once('error', (error) => {
      printed += `${file}: ${error.message}\n`
      if (!quiet) process.stderr.write(printed)
      finish(127)
    })
    child.once('close', (code, signal) => finish(code ?? 128 + constants.signals[/** @type {NodeJS.Signals} */ (signal)]))
  })
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`)
}

/** @param {string} text @param {number} [code] @returns {never} */
function fail(text, code = 1) {
  say(text)
  process.exit(code || 1)
}

await main()
