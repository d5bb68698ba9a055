-- CreateTable
CREATE TABLE "bridge_call" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "odoo_account_id" UUID NOT NULL,
    "api_key_id" UUID,
    "called_by" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "duration_ms" INTEGER NOT NULL,
    "error_code" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "bridge_call_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "bridge_call_organization_id_id_idx" ON "bridge_call"("organization_id", "id");

-- CreateIndex
CREATE INDEX "bridge_call_odoo_account_id_id_idx" ON "bridge_call"("odoo_account_id", "id");

-- CreateIndex
CREATE INDEX "bridge_call_created_at_idx" ON "bridge_call"("created_at");
