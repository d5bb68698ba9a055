/** `npm test`: installs missing host packages if it is allowed to, then runs vitest with the given arguments. */
import { spawn, spawnSync } from 'node:child_process'
import { parseCLI, startVitest } from 'vitest/node'

/** Debian packages, each with a program that shows whether it is installed. */
const packages = {
  bubblewrap: 'bwrap',
  'redis-server': 'redis-server',
  git: 'git',
  s3cmd: 's3cmd',
  rclone: 'rclone',
  'openssh-server': '/usr/sbin/sshd',
  pebble: 'pebble',
}
const installTimeoutMs = 300_000

/** Whether the program can be started. Not all know the option. */
const isInstalled = (program: string) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined

async function installHostPackages(): Promise<void> {
  const missing = Object.entries(packages).flatMap(([name, program]) => (isInstalled(program) ? [] : [name]))
  if (missing.length === 0) return
  const advice = `${missing.join(' and ')} missing`
  if (process.getuid?.() !== 0 || !isInstalled('apt-get'))
    return console.error(`${advice}: install it to run all tests. Tests that need it will say so.`)
  console.error(`${advice}: installing with apt-get ...`)
  const install = `apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ${missing.join(' ')}`
  const code = await new Promise<number | null>((resolve) => {
    const child = spawn('sh', ['-c', install], { stdio: ['ignore', 'ignore', 'inherit'], timeout: installTimeoutMs })
    child.once('error', () => resolve(null))
    child.once('close', resolve)
  })
  if (code !== 0) console.error(`apt-get exited with code ${code}; the tests run without ${missing.join(' and ')}`)
}

await installHostPackages()
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
const vitest = await startVitest('test', filter, { ...options, watch: false })
await vitest.exit()
