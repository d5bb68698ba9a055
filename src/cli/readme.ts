/** Generates the table of error codes in README.md. Everything else there is written by hand. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const path = join(import.meta.dirname, '..', '..', 'README.md')
const begin = '<!-- error codes, printed by npm run generate -->\n'
const end = '<!-- end of error codes -->'

/** HTTP has a specific status for it. Its kind would map to 400. */
const ownStatus: Record<string, number> = { payload_too_large: 413 }

/** README.md with an up-to-date table. Throws if the marks around the table are missing. */
export async function printReadme(): Promise<string> {
  const text = await readFile(path, 'utf8')
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error('README.md has lost the marks around its table of error codes')
  return `${text.slice(0, from + begin.length)}\n${await printErrorCodes()}\n${text.slice(to)}`
}

/** The codes of all concepts, and those of GraphQL itself. */
async function printErrorCodes(): Promise<string> {
  const [{ graphqlErrors }, { statusOfKind }, { concepts }, { assemble }] = await Promise.all([
    import('../graphql/error.ts'),
    import('../platform/errors.ts'),
    import('../domain/index.ts'),
    import('../platform/concept.ts'),
  ])
  const lines = [...assemble(concepts).errors, ...Object.entries(graphqlErrors)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, { kind, text }]) => `| \`${code}\` | ${kind} | ${ownStatus[code] ?? statusOfKind[kind]} | ${text.replaceAll('|', '\\|')} |\n`,
    )
  return `| Code | Kind | HTTP | Text |\n|---|---|---|---|\n${lines.join('')}`
}
