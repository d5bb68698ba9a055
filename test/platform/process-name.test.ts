import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { isNamedAlive, nameProcess } from '../../src/platform/process-name.ts'

it('knows whether a process on this machine is alive, and of no other process', async () => {
  expect(isNamedAlive(nameProcess())).toBe(true)
  const script = `console.log((await import(${JSON.stringify(join(import.meta.dirname, '../../src/platform/process-name.ts'))})).nameProcess()); setInterval(() => {}, 1e6)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const name = line.toString().trim()
  expect(isNamedAlive(name)).toBe(true)
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  expect(isNamedAlive(name)).toBe(false)
  // The pid may have been reused.
  expect(isNamedAlive(nameProcess().replace(/:\d+@/, ':1@'))).toBe(false)
  for (const other of [name.replace(/@.*/, '@another/1'), 'worker', 'host:1:0123abcd', '']) expect(isNamedAlive(other)).toBeNull()
})
