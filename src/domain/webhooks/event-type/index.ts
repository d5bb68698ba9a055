/** The types of events as the outside sees them: which there are, how a filter names them, what was promised about their data. The registry itself is platform's. */
export { type Baseline, extendBaseline, findBreaks } from './compatibility.ts'
export { webhookTest } from './events.ts'
export { inVersion, newestVersion, problemOfPattern, subjectTypesOf, typesOf, versionsOf } from './model.ts'
export { type CatalogueEntry, catalogue, printCatalogueModule, printOpenapi, printSchemas, printTypes } from './print.ts'
