-- CreateEnum
CREATE TYPE "webhook_format" AS ENUM ('RAW', 'SLACK', 'TEAMS', 'DISCORD');

-- CreateEnum
CREATE TYPE "webhook_key_type" AS ENUM ('HMAC', 'ED25519');

-- CreateEnum
CREATE TYPE "operation_status" AS ENUM ('PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED');

-- DropIndex
DROP INDEX "webhook_delivery_due_idx";

-- DropIndex
DROP INDEX "webhook_delivery_pending_idx";

-- AlterTable
ALTER TABLE "webhook_attempt" ADD COLUMN     "due_at" TIMESTAMPTZ(3),
ADD COLUMN     "ordinal" BIGSERIAL NOT NULL;

-- AlterTable
ALTER TABLE "webhook_endpoint" ADD COLUMN     "at_most_once" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "channels" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "filter" JSON,
ADD COLUMN     "format" "webhook_format" NOT NULL DEFAULT 'RAW',
ADD COLUMN     "header_names" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "key_type" "webhook_key_type" NOT NULL DEFAULT 'HMAC',
ADD COLUMN     "legacy_headers" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "max_concurrency" INTEGER,
ADD COLUMN     "ordered" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "public_key" TEXT,
ADD COLUMN     "rate_limit_per_second" INTEGER,
ADD COLUMN     "schema_version" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "sealed_headers" BYTEA,
ADD COLUMN     "selection" TEXT,
ADD COLUMN     "selection_rights" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "timeout_ms" INTEGER;

-- AlterTable
ALTER TABLE "webhook_message" ADD COLUMN     "body_removed_at" TIMESTAMPTZ(3),
ADD COLUMN     "channels" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "request_id" TEXT,
ADD COLUMN     "schema_version" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "subject_id" UUID,
ADD COLUMN     "subject_type" TEXT,
ALTER COLUMN "position" DROP NOT NULL,
ALTER COLUMN "body" DROP NOT NULL;

-- AlterTable
ALTER TABLE "webhook_delivery" ADD COLUMN     "body" TEXT,
ADD COLUMN     "in_doubt" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "operation_id" UUID,
ADD COLUMN     "position" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "schedule_base" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "trigger" "webhook_attempt_trigger" NOT NULL DEFAULT 'AUTOMATIC';

-- AlterTable
ALTER TABLE "project" ADD COLUMN     "secret_fallback" JSON;

-- CreateTable
CREATE TABLE "env_var" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "value" BYTEA NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "is_short" BOOLEAN NOT NULL,
    "is_secret" BOOLEAN NOT NULL,
    "build_time" BOOLEAN NOT NULL,
    "run_time" BOOLEAN NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "changed_by" TEXT NOT NULL,
    "last_revealed_at" TIMESTAMPTZ(3),
    "last_revealed_by" TEXT,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "env_var_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "reveal_allowance" (
    "principal" TEXT NOT NULL,
    "window_start" TIMESTAMPTZ(3) NOT NULL,
    "used" INTEGER NOT NULL,

    CONSTRAINT "reveal_allowance_pkey" PRIMARY KEY ("principal")
);

-- CreateTable
CREATE TABLE "environment_state" (
    "environment_id" UUID NOT NULL,
    "status" TEXT NOT NULL,

    CONSTRAINT "environment_state_pkey" PRIMARY KEY ("environment_id")
);

-- CreateTable
CREATE TABLE "event_usage" (
    "organization_id" UUID NOT NULL,
    "minute" TIMESTAMPTZ(3) NOT NULL,
    "events" INTEGER NOT NULL,

    CONSTRAINT "event_usage_pkey" PRIMARY KEY ("organization_id")
);

-- CreateTable
CREATE TABLE "deployment_config" (
    "deployment_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "entries" JSON NOT NULL,
    "sealed" BYTEA NOT NULL,
    "warnings" TEXT[],
    "redactions" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "deployment_config_pkey" PRIMARY KEY ("deployment_id")
);

-- CreateTable
CREATE TABLE "webhook_lane" (
    "endpoint_id" UUID NOT NULL,
    "rate_used_until" TIMESTAMPTZ(6),
    "silent_failures" INTEGER NOT NULL DEFAULT 0,
    "breaker_until" TIMESTAMPTZ(3),
    "failing_since" TIMESTAMPTZ(3),
    "last_failure_at" TIMESTAMPTZ(3),
    "warned_at" TIMESTAMPTZ(3),
    "mirrored_version" INTEGER,

    CONSTRAINT "webhook_lane_pkey" PRIMARY KEY ("endpoint_id")
);

-- CreateTable
CREATE TABLE "operation" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID,
    "type" TEXT NOT NULL,
    "status" "operation_status" NOT NULL DEFAULT 'QUEUED',
    "steps_completed" INTEGER NOT NULL DEFAULT 0,
    "total_steps" INTEGER,
    "input" JSON NOT NULL,
    "progress" JSON,
    "error" TEXT,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "operation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "secret_binding" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "secret_id" UUID NOT NULL,
    "alias" TEXT NOT NULL,
    "changed_by" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "secret_binding_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "secret" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "scope" "environment_type" NOT NULL,
    "is_secret" BOOLEAN NOT NULL,
    "current_version" INTEGER NOT NULL,
    "last_revealed_at" TIMESTAMPTZ(3),
    "last_revealed_by" TEXT,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "secret_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "secret_version" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "secret_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "value" BYTEA NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "is_short" BOOLEAN NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "secret_version_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "env_var_web_service_id_key_key" ON "env_var"("web_service_id", "key");

-- CreateIndex
CREATE UNIQUE INDEX "deployment_config_organization_id_deployment_id_key" ON "deployment_config"("organization_id", "deployment_id");

-- CreateIndex
CREATE INDEX "operation_organization_id_id_idx" ON "operation"("organization_id", "id");

-- CreateIndex
CREATE INDEX "operation_due_idx" ON "operation"("due_at") WHERE (status in ('QUEUED', 'RUNNING'));

-- CreateIndex
CREATE INDEX "secret_binding_secret_id_idx" ON "secret_binding"("secret_id");

-- CreateIndex
CREATE UNIQUE INDEX "secret_binding_web_service_id_alias_key" ON "secret_binding"("web_service_id", "alias");

-- CreateIndex
CREATE INDEX "secret_project_id_id_idx" ON "secret"("project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "secret_organization_id_project_id_id_key" ON "secret"("organization_id", "project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "secret_project_id_key_scope_key" ON "secret"("project_id", "key", "scope");

-- CreateIndex
CREATE UNIQUE INDEX "secret_version_secret_id_version_key" ON "secret_version"("secret_id", "version");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_attempt_ordinal_key" ON "webhook_attempt"("ordinal");

-- CreateIndex
CREATE INDEX "webhook_attempt_message_id_id_idx" ON "webhook_attempt"("message_id", "id");

-- CreateIndex
CREATE INDEX "webhook_attempt_kept_idx" ON "webhook_attempt"("created_at") WHERE (response_body is not null);

-- CreateIndex
CREATE INDEX "webhook_message_kept_idx" ON "webhook_message"("timestamp") WHERE (body is not null);

-- CreateIndex
CREATE INDEX "webhook_delivery_due_idx" ON "webhook_delivery"("endpoint_id", "next_attempt_at") WHERE (status = 'PENDING');

-- CreateIndex
CREATE INDEX "webhook_delivery_ordered_idx" ON "webhook_delivery"("endpoint_id", "position") WHERE (status = 'PENDING');

-- CreateIndex
CREATE INDEX "webhook_delivery_leased_idx" ON "webhook_delivery"("endpoint_id") WHERE (lease_owner is not null);

-- CreateIndex
CREATE INDEX "webhook_delivery_operation_idx" ON "webhook_delivery"("operation_id") WHERE (operation_id is not null);

-- CreateIndex
CREATE UNIQUE INDEX "web_service_organization_id_project_id_id_key" ON "web_service"("organization_id", "project_id", "id");

-- AddForeignKey
ALTER TABLE "env_var" ADD CONSTRAINT "env_var_organization_id_project_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "project_id", "web_service_id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "environment_state" ADD CONSTRAINT "environment_state_environment_id_fkey" FOREIGN KEY ("environment_id") REFERENCES "environment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment_config" ADD CONSTRAINT "deployment_config_organization_id_deployment_id_fkey" FOREIGN KEY ("organization_id", "deployment_id") REFERENCES "deployment"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret_binding" ADD CONSTRAINT "secret_binding_organization_id_project_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "project_id", "web_service_id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret_binding" ADD CONSTRAINT "secret_binding_organization_id_project_id_secret_id_fkey" FOREIGN KEY ("organization_id", "project_id", "secret_id") REFERENCES "secret"("organization_id", "project_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret" ADD CONSTRAINT "secret_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret_version" ADD CONSTRAINT "secret_version_secret_id_fkey" FOREIGN KEY ("secret_id") REFERENCES "secret"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- env_var_stamp
CREATE TRIGGER env_var_stamp BEFORE UPDATE ON env_var FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- secret_stamp
CREATE TRIGGER secret_stamp BEFORE UPDATE ON secret FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- secret_binding_stamp
CREATE TRIGGER secret_binding_stamp BEFORE UPDATE ON secret_binding FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- operation_stamp
CREATE TRIGGER operation_stamp BEFORE UPDATE ON operation FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- secret_version_immutable
CREATE OR REPLACE FUNCTION secret_version_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(NEW) - 'value' - 'revoked_at' = to_jsonb(OLD) - 'value' - 'revoked_at'
     AND (OLD.revoked_at IS NULL OR NEW.revoked_at = OLD.revoked_at) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'versions of a secret are immutable';
END $$;

-- secret_version_guard
CREATE TRIGGER secret_version_guard BEFORE UPDATE ON secret_version FOR EACH ROW EXECUTE FUNCTION secret_version_immutable();

-- webhook_lane_rows
INSERT INTO webhook_lane (endpoint_id) SELECT id FROM webhook_endpoint ON CONFLICT DO NOTHING;

-- env_var_key_check
ALTER TABLE env_var ADD CONSTRAINT env_var_key_check CHECK (key ~ '^[A-Za-z_][A-Za-z0-9_]*$');

-- secret_key_check
ALTER TABLE secret ADD CONSTRAINT secret_key_check CHECK (key ~ '^[A-Za-z_][A-Za-z0-9_]*$');

-- secret_binding_alias_check
ALTER TABLE secret_binding ADD CONSTRAINT secret_binding_alias_check CHECK (alias ~ '^[A-Za-z_][A-Za-z0-9_]*$');
