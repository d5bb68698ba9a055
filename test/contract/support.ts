/** The whole program, as it is composed: every concept's registrations, by every front door there is. */
import { glob } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { schema } from '../../src/graphql/schema.ts'

const root = dirname(dirname(import.meta.dirname))

for await (const file of glob('src/domain/*/*/index.ts', { cwd: root })) await import(pathToFileURL(join(root, file)).href)

export { schema }
