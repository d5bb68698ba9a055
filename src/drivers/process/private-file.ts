/** Private files of an instance or a release command. */
import { posix } from 'node:path'
import type { Places, PrivateFiles } from '../../domain/deploys/instance/ports.ts'
import type { Cell, Sandbox } from './sandbox.ts'

type Ports = Pick<Places, 'port' | 'secondPort'>

/** The cell with its private files, and the variables that name them. */
export function withFiles(
  sandbox: Sandbox,
  cell: Cell,
  files: PrivateFiles | undefined,
  ports: Ports = { port: null, secondPort: null },
): { cell: Cell; env: Record<string, string> } {
  if (!files) return { cell, env: {} }
  const paths = sandbox.paths(cell)
  const app = posix.join(paths.app, cell.workingDirectory)
  return {
    cell: { ...cell, files: files({ ...ports, tree: paths.app, app, files: paths.files, tools: paths.tools }) },
    env: { QUAYSIDE_FILES: paths.files },
  }
}
