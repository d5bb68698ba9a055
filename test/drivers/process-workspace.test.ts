/** Cleanup after a process that was killed during a build. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createLayout } from '../../src/drivers/process/layout.ts'
import { type Cell, createSandbox, feed } from '../../src/drivers/process/sandbox.ts'
import { sweepWorkspaces } from '../../src/drivers/process/workspace.ts'
import { bootId } from '../../src/platform/process-mark.ts'
import { commandLine, hostPath, modes, processes, uniqueSleep, until } from './process-support.ts'

it.each(modes)('a build that has outlived its process is stopped, and its workspace is removed (%s)', async (choice) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-workspace-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const layout = await createLayout(dataDir)
  const sandbox = await createSandbox({ choice, layout, hostPath, hidden: [] })
  const directory = join(layout.work, 'dep-0123456789ab')
  const tree = join(directory, 'tree')
  await mkdir(tree, { recursive: true })
  await writeFile(join(directory, 'owner.json'), JSON.stringify({ pid: 2 ** 30, startTime: '1', bootId: bootId() }))
  const own = { access: 'direct', workingDirectory: '', tools: [], cache: null } as const
  // Detached, like a bubblewrap process whose parent ended before bubblewrap requested to end with it.
  const cell: Cell = { name: 'dep-0123456789ab', directory, tree, ...own, lifetime: 'detached' }
  await sandbox.prepare(cell)
  const sleep = uniqueSleep()
  const launch = sandbox.launch(cell, `${sleep} & ${sleep}`, { PATH: hostPath })
  const child = spawn('/bin/sh', ['-c', launch.script, 'sh', ...launch.args], {
    cwd: launch.cwd,
    env: launch.env,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  })
  feed(child.stdio[4], launch.input)
  const running = async () => (await Promise.all((await processes()).map(commandLine))).filter((line) => line.trim() === sleep).length
  await until(async () => (await running()) === 2)
  await sweepWorkspaces(layout, sandbox)
  expect([await running(), await readdir(layout.work)]).toEqual([0, []])
})
