/** Lints OpenAPI documents with the recommended rules of Redocly. Warnings count as problems too. */

/** A tag is the name of the objects that its operations are about, and these have descriptions. */
const rules = { 'tag-description': 'off' } as const

/** A document of webhooks only has no server, because its readers are the servers. */
const rulesOfWebhooks = { ...rules, 'no-empty-servers': 'off' } as const

/** Returns one line for each problem, which begins with `path`. */
export async function lintOpenapi(path: string, text: string): Promise<string[]> {
  const { createConfig, lintFromString } = await import('@redocly/openapi-core')
  const { paths = {} } = JSON.parse(text) as { paths?: object }
  const config = await createConfig({ extends: ['recommended'], rules: Object.keys(paths).length === 0 ? rulesOfWebhooks : rules })
  const problems = await lintFromString({ source: text, absoluteRef: path, config })
  return problems.map(({ ruleId, message, location }) => `${path}${location[0]?.pointer ?? ''} ${ruleId}: ${message}`)
}
