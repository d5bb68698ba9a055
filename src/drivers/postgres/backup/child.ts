/** The program that `startTask` runs. It receives its task as a message; an archive passes through stdin or stdout; its answer is a message. */
import { PortError } from '../../../platform/errors.ts'
import { digestOf, extractArchive } from './archive.ts'
import { type BaseBackupRequest, takeBaseBackup } from './base-backup.ts'

export type Task =
  /** Writes the archive of a base backup to stdout. */
  | ({ name: 'back up' } & BaseBackupRequest)
  /** Reads an archive from stdin and computes its digest. */
  | { name: 'check' }
  /** Reads an archive from stdin and extracts it into an empty directory. */
  | { name: 'extract'; directory: string }

export type Answer<Result> = { result: Result } | { error: string; code: string | undefined; isPort: boolean }

const tasks: { [Name in Task['name']]: (task: Extract<Task, { name: Name }>) => Promise<unknown> } = {
  'back up': (request) => takeBaseBackup(request, process.stdout),
  check: () => digestOf(process.stdin),
  extract: ({ directory }) => extractArchive(process.stdin, directory),
}

async function answerTo(task: Task): Promise<Answer<unknown>> {
  try {
    return { result: (await tasks[task.name](task as never)) ?? null }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return { error: message, code, isPort: error instanceof PortError }
  }
}

// The parent is gone.
process.once('disconnect', () => process.exit(1))
process.once('message', async (task) => {
  const answer = await answerTo(task as Task)
  process.send!(answer, () => process.exit(0))
})
