import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const root = dirname(dirname(import.meta.dirname))
let tree: string
let children: ChildProcess[]

/** A checkout with the real starter and package.json, with only Node installed, and a fake Prisma that counts its runs. */
beforeEach(async () => {
  tree = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  children = []
  await plant({
    'package-lock.json': '{"packages": {"": {}}}',
    'prisma/schema.prisma': '',
    'node_modules/.package-lock.json': '{"packages": {}}',
    'node_modules/.bin/prisma': `const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs')
      mkdirSync('src/generated/prisma', { recursive: true })
      for (const path of ['prisma/client.ts', 'pothos-types.ts']) writeFileSync('src/generated/' + path, '')
      appendFileSync('runs', 'x')
      console.log('Prisma says much')`,
  })
  await symlink(process.execPath, join(tree, 'node_modules/.bin/node'))
  await mkdir(join(tree, 'src/cli'), { recursive: true })
  for (const path of ['src/cli/boot.mjs', 'package.json']) await cp(join(root, path), join(tree, path))
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(tree, { recursive: true })
})

async function plant(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true })
    await writeFile(join(tree, path), text)
  }
}

type Ended = { code: number | null; signal: string | null; output: string }

function start(command: string, args: string[]): { child: ChildProcess; ended: Promise<Ended>; printed(text: string): Promise<void> } {
  const child = spawn(command, args, { cwd: tree, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let output = ''
  const waiting = new Map<string, () => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes
      for (const [text, resolve] of waiting) if (output.includes(text)) resolve()
    })
  }
  return {
    child,
    ended: once(child, 'close').then(([code, signal]) => ({ code, signal, output: output.trim() })),
    printed: (text) => new Promise((resolve) => (output.includes(text) ? resolve() : waiting.set(text, resolve))),
  }
}

const boot = (...args: string[]) => start(process.execPath, ['src/cli/boot.mjs', ...args])

describe('the starter', () => {
  it('runs the command with its arguments, silently, and ends with its exit code', async () => {
    await plant({ 'src/cli/key.ts': 'console.log(process.argv.slice(2).join()); process.exitCode = 7' })
    expect(await boot('key', 'a', '--b').ended).toMatchObject({ code: 7, output: 'a,--b' })
  })

  it.each([
    ['start', 'main'],
    ['worker', 'main worker'],
  ])('runs main for %s', async (command, output) => {
    await plant({ 'src/main.ts': 'console.log(["main", ...process.argv.slice(2)].join(" "))' })
    expect((await boot(command).ended).output).toBe(output)
  })

  it.each(['start', 'worker'])('limits the heap of %s, which can give back what the start needed', async (command) => {
    await plant({
      'src/main.ts': `import { getHeapStatistics } from 'node:v8'\nconsole.log(getHeapStatistics().heap_size_limit < 1100 * 2 ** 20, typeof gc)`,
    })
    expect((await boot(command).ended).output).toBe('true function')
  })

  it('refuses a command that there is not, and one that is a path', async () => {
    expect(await boot('sing').ended).toMatchObject({ code: 1, output: 'The command sing does not exist.' })
    expect(await boot('../main').ended).toMatchObject({ code: 1 })
  })

  it('makes the client once for two that start at once, and again when the models change', async () => {
    await plant({ 'src/cli/key.ts': '' })
    expect((await Promise.all([boot('key').ended, boot('key').ended])).map(({ code }) => code)).toEqual([0, 0])
    await boot('key').ended
    expect(await readFile(join(tree, 'runs'), 'utf8')).toBe('x')
    await plant({ 'prisma/models/boat.prisma': 'model Boat { id Int @id }' })
    await boot('key').ended
    expect(await readFile(join(tree, 'runs'), 'utf8')).toBe('xx')
  })

  it('shows what went wrong when the client can not be made, and runs nothing', async () => {
    await plant({ 'src/cli/key.ts': 'console.log("ran")', 'node_modules/.bin/prisma': 'console.log("bad model"); process.exit(3)' })
    const { code, output } = await boot('key').ended
    expect(code).toBe(3)
    expect(output).toBe('bad model\nThe Prisma client could not be generated from prisma/.')
  })

  it('installs when the lockfile asks for a package that is not there, once for two at once', async () => {
    await plant({
      'src/cli/key.ts': '',
      'package-lock.json': '{"packages": {"": {}, "node_modules/boat": {"version": "1.0.0"}}}',
      'bin/npm': '#!/bin/sh\necho "$@" >> installs\n',
    })
    await chmod(join(tree, 'bin/npm'), 0o755)
    const run = () => start('env', [`PATH=${join(tree, 'bin')}:/usr/local/bin:/usr/bin:/bin`, process.execPath, 'src/cli/boot.mjs', 'key'])
    const answers = await Promise.all([run().ended, run().ended])
    expect(answers.map(({ output }) => output).sort()).toEqual(['', 'Installing packages (npm ci) ...'])
    expect(await readFile(join(tree, 'installs'), 'utf8')).toMatch(/^ci --include=dev [^\n]*\n$/)
  })

  it('starts main again when it ends after an internal error, and no other program', async () => {
    const script = `
      import { appendFileSync, readFileSync } from 'node:fs'
      appendFileSync('starts', 'x')
      process.exit(readFileSync('starts', 'utf8') === 'x' ? 75 : 3)`
    await plant({ 'src/main.ts': script, 'src/cli/key.ts': 'process.exitCode = 75' })
    expect(await boot('start').ended).toMatchObject({ code: 3, output: expect.stringContaining('Restarting') })
    expect(await readFile(join(tree, 'starts'), 'utf8')).toBe('xx')
    expect(await boot('key').ended).toMatchObject({ code: 75, output: '' })
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('passes %s on from npm to main and ends as main does', async (signal) => {
    await plant({
      'src/main.ts': `process.once('${signal}', () => { console.log('draining'); setTimeout(() => process.exit(5), 100) })
        setInterval(() => {}, 1000)
        console.log('up')`,
    })
    const { child, ended, printed } = start('npm', ['start', '--silent'])
    await printed('up')
    child.kill(signal)
    const { code, output } = await ended
    expect(output).toContain('draining')
    expect(code).toBe(5)
  })
})
