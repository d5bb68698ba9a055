/** Controls process-child.ts: a second process of the control plane, which a test sends requests to and kills. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach } from 'vitest'
import type { Order } from './process-child.ts'

export const inChildCommand = [process.execPath, join(import.meta.dirname, 'process-child.ts')]
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Starts another process of the control plane on the same data directory. */
export function openChild(command: string[] = inChildCommand, handed: ('ignore' | number)[] = []) {
  const [file = '', ...args] = command
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit', ...handed] })
  children.push(child)
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return {
    send: (order: Order) => void child.stdin!.write(`${JSON.stringify(order)}\n`),
    async order(order: Order): Promise<unknown> {
      child.stdin!.write(`${JSON.stringify(order)}\n`)
      const answer = JSON.parse((await lines.next()).value as string) as { result?: unknown; error?: string; code?: string }
      if (answer.error !== undefined) throw Object.assign(new Error(answer.error), { code: answer.code })
      return answer.result
    },
    async kill() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** Copies the child's program and its Node into a folder that every user can read, because only root may be able to read the checkout. */
export async function readableCommand(): Promise<{ directory: string; command: string[] }> {
  const root = join(import.meta.dirname, '..', '..')
  const directory = await mkdtemp(join(tmpdir(), 'quayside-program-'))
  const parts = [
    'package.json',
    'src/drivers/process',
    'src/platform/errors.ts',
    'src/platform/loopback-port.ts',
    'src/platform/pace.ts',
    'src/platform/process-mark.ts',
    'src/platform/process-usage.ts',
    'src/platform/published-file.ts',
    'src/platform/whole-file.ts',
    'node_modules/semver',
    'node_modules/ipaddr.js',
    'test/drivers/process-child.ts',
    'test/drivers/process-source.ts',
  ]
  for (const part of parts) await cp(join(root, part), join(directory, part), { recursive: true })
  await cp(process.execPath, join(directory, 'node'))
  await chmod(directory, 0o755)
  return { directory, command: [join(directory, 'node'), join(directory, 'test/drivers/process-child.ts')] }
}

/** Starts another process in its own mount namespace, after `script` has changed the mounts. */
export function inOwnMounts(script: string): string[] {
  return ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', `${script} && exec "$@"`, 'sh', ...inChildCommand]
}
