/** Runs one command in a cell to its end. Output is read with back-pressure, and no process is left, however the command ends. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import type { ProcessMark } from '../../platform/process-mark.ts'
import { killAll, parseReport, rootOf } from './report.ts'
import { type Cell, feed, type Sandbox } from './sandbox.ts'

/** Resolves with the exit code (128 + n for signal n). After an abort, throws `signal.reason` once all processes have exited. */
export async function runToEnd(sandbox: Sandbox, cell: Cell, command: string, env: Record<string, string>, io: StepIo): Promise<number> {
  io.signal.throwIfAborted()
  const launch = sandbox.launch(cell, command, env)
  const child = spawn('/bin/sh', ['-c', `ulimit -c 0; ${launch.script}`, 'sh', ...launch.args], {
    cwd: launch.cwd,
    env: launch.env,
    // Its own session, so that Ctrl-C at the control plane's terminal does not reach it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(launch.input === null ? [] : (['pipe'] as const))],
  })
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]))
  })
  feed(child.stdio[4], launch.input)
  let root: ProcessMark | null = null
  let reported = ''
  const reports = child.stdio[3] as Readable
  reports.on('data', (bytes: Buffer) => {
    reported += bytes.toString()
    root ??= rootOf(parseReport(reported))
  })
  const reportedAll = finished(reports).catch(() => undefined)
  const kill = () => {
    killAll(sandbox, cell, root).catch(() => undefined)
    child.kill('SIGKILL')
  }
  io.signal.addEventListener('abort', kill, { once: true })
  const copied = Promise.all([copy(child.stdout as Readable, 'stdout', io), copy(child.stderr as Readable, 'stderr', io)])
  // If a sink fails, the command must be killed, or it would wait forever on a full pipe.
  copied.catch(kill)
  try {
    const code = await ended
    // Background processes of the command may hold the pipes open.
    await killAll(sandbox, cell, root)
    await copied
    io.signal.throwIfAborted()
    await reportedAll
    return parseReport(reported).exitCode ?? code
  } finally {
    io.signal.removeEventListener('abort', kill)
    reports.destroy()
  }
}

async function copy(from: Readable, stream: 'stdout' | 'stderr', io: StepIo): Promise<void> {
  for await (const bytes of from) {
    if (io.signal.aborted) continue
    await io.output(stream, bytes as Uint8Array)
  }
}
