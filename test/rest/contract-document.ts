/** Reads the OpenAPI document of a dialect, for tests that hold it against the rows of a contract. */

type Schema = { $ref?: string; anyOf?: Schema[]; required?: string[]; properties?: Record<string, { items?: Schema }> }
type Operation = { responses: Record<string, { content?: Record<string, { schema: Schema }> }> }
type Document = { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } }

export function readDocument(text: string) {
  const document = JSON.parse(text) as Document
  return {
    document,
    /** A path without the names of its parameters. */
    unnamed: (path: string) => path.replaceAll(/\{\w+\}/g, '{id}'),
    /** The schema that a reference stands for, without null. */
    resolved(schema: Schema | undefined): Schema | undefined {
      const found = schema?.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1)!]
      return found?.anyOf?.[0] ?? found
    },
  }
}
