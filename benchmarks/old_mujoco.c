/* The few calls of an old MuJoCo that bench_physics.py makes, for ctypes: its structs are read here,
 * by the header that came with the library, so that Python needs to know none of their offsets. */
#include <string.h>

#include "mujoco.h"

static mjModel *model;
static mjData *data;

/* Version of the library, or -1 with a sentence in `error` (1000 bytes). */
int old_open(const char *xml, char *error) {
  model = mj_loadXML(xml, 0, error, 1000);
  if (!model) return -1;
  data = mj_makeData(model);
  return mj_version();
}

void old_weights(double *mass, double *inertia) {
  memcpy(mass, model->body_mass, model->nbody * sizeof(double));
  memcpy(inertia, model->body_inertia, 3 * model->nbody * sizeof(double));
}

void old_set(const double *qpos, const double *qvel, const double *damping) {
  mj_resetData(model, data);
  memcpy(data->qpos, qpos, model->nq * sizeof(double));
  memcpy(data->qvel, qvel, model->nv * sizeof(double));
  memcpy(model->dof_damping, damping, model->nv * sizeof(double));
  mj_forward(model, data);
}

/* One environment step in dm_control's order. */
void old_step(const double *control, int substeps, double *qpos) {
  memcpy(data->ctrl, control, model->nu * sizeof(double));
  int half = model->opt.integrator != mjINT_RK4; /* Runge-Kutta has no second half to begin with */
  if (half) mj_step2(model, data);
  for (int i = half; i < substeps; i++) mj_step(model, data);
  mj_step1(model, data);
  memcpy(qpos, data->qpos, model->nq * sizeof(double));
}
