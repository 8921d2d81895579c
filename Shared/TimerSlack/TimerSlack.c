#include "TimerSlack.h"
