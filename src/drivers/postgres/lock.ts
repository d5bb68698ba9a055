import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'

/**
 * Runs `work` while holding an exclusive lock on `path`. Waits for the lock for at most `atMostMs`, then runs `work` without it. A small
 * child process holds the lock and exits when its input is closed, so the lock is released however this process ends.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>, atMostMs?: number): Promise<T> {
  await (await open(path, 'a', 0o600)).close()
  const [command, ...lead] = process.platform === 'darwin' ? ['lockf', '-k', path] : ['flock', '--exclusive', path]
  const holder = spawn(command as string, [...lead, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()))
  holder.stdin.on('error', () => {})
  let timer: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      if (atMostMs !== undefined) timer = setTimeout(resolve, atMostMs)
      holder.once('error', (cause) =>
        reject(new Error(`The lock ${path} requires the program ${command}, which cannot be run.`, { cause })),
      )
      holder.once('close', (code) => reject(new Error(`The lock ${path} could not be acquired (${command} exited with code ${code}).`)))
      holder.stdout.once('data', () => resolve())
    })
    clearTimeout(timer)
    return await work()
  } finally {
    clearTimeout(timer)
    holder.stdin.end()
    holder.kill()
    if (holder.pid !== undefined) await ended
  }
}
