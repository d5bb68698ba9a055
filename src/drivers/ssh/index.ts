/** Machines over SSH: connects, checks the host key, logs in and reads facts. Changes nothing on a machine. */
import { randomBytes } from 'node:crypto'
import type { Inspection, Ssh } from '../../domain/apps/server/ports.ts'
import type { EgressGuard } from '../../platform/egress.ts'
import { openSocket } from './connect.ts'
import { factsScript, parseFacts } from './facts.ts'
import { StageError } from './failure.ts'
import { noShell, runScript, type Seen, type Stage } from './session.ts'

export type SshOptions = {
  guard: EgressGuard
  /** Of each stage. */
  timeoutsMs: Record<'connection' | Stage, number>
}

export function createSsh({ guard, timeoutsMs }: SshOptions): Ssh {
  return {
    async inspect(target, signal): Promise<Inspection> {
      const mark = `quayside-${randomBytes(8).toString('hex')}`
      const seen: Seen = { hostKey: null }
      try {
        const socket = await openSocket(guard, target, timeoutsMs.connection, signal)
        const output = await runScript(socket, { target, script: factsScript(mark), timeoutsMs, seen }, signal)
        const facts = parseFacts(output, mark)
        if (facts === null) throw noShell('it did not run a POSIX shell')
        return { hostKey: seen.hostKey!, facts, failure: null }
      } catch (error) {
        if (!(error instanceof StageError)) throw error
        return { hostKey: seen.hostKey, facts: null, failure: { code: error.code, message: error.message } }
      }
    },
  }
}
